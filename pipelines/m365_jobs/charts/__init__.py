"""What dashboard and report show: figures that the warehouse adds up, drawings of them, and both as HTML."""
