"""Screening of pools that fit into no memory: shards of candidates, each predicted, scored and written by itself."""
