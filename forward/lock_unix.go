//go:build unix

package forward

import (
	"os"
	"syscall"
)

// lock waits until nobody else, here or in another process, holds the lock of an
// open file. It goes with the file.
func lock(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_EX) }

func unlock(file *os.File) { _ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }
