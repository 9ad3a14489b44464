package cluster

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
)

// oldest major version that the store's SQL runs on.
const oldest = 15

// programs is a folder that holds PostgreSQL's server programs.
type programs struct {
	dir     string
	version string // such as "15.14"
}

func (p programs) major() string {
	major, _, _ := strings.Cut(p.version, ".")
	return major
}

// findPrograms looks for server programs on this machine and downloads them
// when there are none. A cluster is bound to the major version that made it;
// "" takes any.
func findPrograms(major string, log io.Writer) (programs, error) {
	if dir := os.Getenv("DEVICEOPS_PG_BIN"); dir != "" {
		p, err := inspect(dir)
		if err != nil {
			return p, deviceops.Errorf(deviceops.EINVALID, "DEVICEOPS_PG_BIN: %w", err)
		}
		return p, fits(p, major)
	}
	var other error
	for _, dir := range candidates() {
		p, err := inspect(dir)
		if err != nil {
			continue
		}
		if other = fits(p, major); other == nil {
			return p, nil
		}
	}
	if other != nil && major != "" {
		return programs{}, other
	}
	return download(log)
}

// fits tells whether p can serve a cluster that major made.
func fits(p programs, major string) error {
	if n, _ := strconv.Atoi(p.major()); n < oldest {
		return deviceops.Errorf(deviceops.ECONFLICT, "PostgreSQL %s in %s is too old: install version %d or newer", p.version, p.dir, oldest)
	}
	if major != "" && major != p.major() {
		return deviceops.Errorf(deviceops.ECONFLICT,
			"the data was made by PostgreSQL %s and this machine has %s: install version %s, or start with another data folder",
			major, p.version, major)
	}
	return nil
}

// candidates are the folders to look in: what the user's path names first,
// then where packages put the programs, newest version first.
func candidates() []string {
	var dirs []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // Red Hat
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
		"/usr/local/pgsql/bin",
	} {
		found, _ := filepath.Glob(pattern)
		slices.SortFunc(found, func(a, b string) int { return cmp.Compare(versionIn(b), versionIn(a)) })
		dirs = append(dirs, found...)
	}
	return dirs
}

var digits = regexp.MustCompile(`\d+`)

// versionIn is the number in a path such as /usr/lib/postgresql/15/bin.
func versionIn(path string) int {
	n, _ := strconv.Atoi(digits.FindString(path))
	return n
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+(?:\.\d+)?)`)

// inspect looks whether dir holds the programs, and of which version.
func inspect(dir string) (programs, error) {
	if _, err := os.Stat(filepath.Join(dir, "initdb")); err != nil {
		return programs{}, fmt.Errorf("%s holds no initdb", dir)
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return programs{}, fmt.Errorf("run postgres in %s: %w", dir, err)
	}
	m := versionText.FindSubmatch(out)
	if m == nil {
		return programs{}, fmt.Errorf("postgres in %s gives no version: %q", dir, out)
	}
	return programs{dir: dir, version: string(m[1])}, nil
}
