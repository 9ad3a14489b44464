package api

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDiffLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("same\n", 10)
	for name, c := range map[string]struct{ from, to, want string }{
		"same":    {"a\nb", "a\nb\n", ""},
		"changed": {"a\nb\nc", "a\nx\nc", "  a\n- b\n+ x\n  c\n"},
		"added":   {"a", "a\nb", "  a\n+ b\n"},
		"removed": {"a\nb", "b", "- a\n  b\n"},
		"moved":   {"a\nb\nc", "b\nc\na", "- a\n  b\n  c\n+ a\n"},
		"long":    {long + "x", long + "y", "  ...\n  same\n  same\n- x\n+ y\n"},
		"both":    {"x\n" + long, "y\n" + long, "- x\n+ y\n  same\n  same\n  ...\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, diffLines(c.from, c.to))
		})
	}
}

func TestDiffOfLargeChangesIsOneBlock(t *testing.T) {
	t.Parallel()
	from, to := strings.Repeat("a\nb\n", 2000), strings.Repeat("c\nd\n", 2000)
	require.Equal(t, 8000, strings.Count(diffLines(from, to), "\n"))
}
