"""From a folder of tables to the sources of one account, with every check on the way."""
