"""What the `framewire` command does beside parsing its words: stream, doctor, input and progress."""
