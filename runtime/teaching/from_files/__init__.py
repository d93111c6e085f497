"""Teaching from files of a host, without a workspace: class folders or a table, all cores."""
