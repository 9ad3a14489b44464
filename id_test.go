package deviceops_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

// These ids are in databases and workflows: were they others after an upgrade, what
// was begun before would be begun once more. They are computed by
//
//	printf 'a\0b' | sha256sum
func TestIDsNeverChange(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ba7816bf8f01cfea", deviceops.ShortHash(8, "abc"))
	require.Equal(t, "ba7816bf8f01cfea414140de", deviceops.ShortHash(12, "abc"))
	require.Equal(t, "59b271ae1bbcb1d31d419298", deviceops.ShortHash(12, "a", "b"))
	require.Equal(t, "ro-e1201d9dd358", deviceops.RolloutID("acme", "kiosk-2"))
	long := strings.Repeat("k", deviceops.MaxIDLength)
	require.Equal(t, "ro-1.69cd344d20fee04179a672ea3b2929da", deviceops.RolloutCommandID("ro-1", long))
}
