"""What turns files, streams and generators into bytes to look through."""
