"""What a log line may show: no secret, no control character, no flood."""
