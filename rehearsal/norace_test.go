//go:build !race

package rehearsal_test

// slowness: none.
const slowness = 1
