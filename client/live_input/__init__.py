"""What goes in: clips, folders of pictures, cameras, and single pictures made fit for the wire."""
