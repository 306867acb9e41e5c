"""What more than one service does with an analysis: accept, start, observe, announce, reject. Each is one file."""
