//go:build !unix

package forward

import "os"

// lock does nothing: where files cannot be locked, a file is that of one target.
func lock(*os.File) error { return nil }

func unlock(*os.File) {}
