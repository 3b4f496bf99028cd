"""The Django application that the stories are about."""
