package main

import (
	"os"
	"runtime/debug"
)

// garbagePercent is how much garbage servers let pile up, in percent of what is in
// use. What is in use is little, some ten megabytes, and grows by less than a
// hundred bytes with each device: with Go's 100 a third of the processor time of a
// rollout went into going through it again and again.
const garbagePercent = 300

// letGarbagePile has this process collect garbage less often, unless GOGC says how
// often it is to. GOMEMLIMIT bounds memory as ever.
func letGarbagePile() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}
