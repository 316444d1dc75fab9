"""What a balancer, or whatever else stands in front of workers, costs a frame."""
