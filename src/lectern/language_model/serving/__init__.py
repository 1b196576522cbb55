"""How models of this room are asked from outside: nothing in here can change what a network learns."""
