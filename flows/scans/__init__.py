"""The scanner's expressions: tokens, parser, criteria, evaluation over columns. No flow and no state of one."""
