"""The HeyTraders API as types: endpoints, models, errors, symbols and the client. Imports no other layer."""
