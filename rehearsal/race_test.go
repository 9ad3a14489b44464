//go:build race

package rehearsal_test

// slowness is how much slower the race detector makes a program, at most (its
// documentation says 2 to 20 times): times are held for programs without it.
const slowness = 10
