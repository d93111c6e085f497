"""What was taught on this appliance: its bundle becomes a version that serves, its photos go to the data store."""
