"""The supervisor behind `make up`: it starts servers and services in the order their needs dictate, and stops them in reverse.

Everything it must remember lies in the state folder (0700): data of the servers, secrets, ports, logs, `stack.json`. One
supervisor holds the folder's lock for as long as the stack runs; `down`, `status` and `logs` find it by that lock.
"""
