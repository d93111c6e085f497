"""In process: from JPEG bytes to label, and bare inference sessions."""
