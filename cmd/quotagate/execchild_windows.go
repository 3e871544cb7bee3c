package main

import "os"

// relayed is Ctrl-C, which ends neither of us before the program has ended.
var relayed = []os.Signal{os.Interrupt}

// sentByTerminal: the console sends it to all of its programs.
func sentByTerminal(os.Signal) bool { return true }
