package porttest

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFree(t *testing.T) {
	taken, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(Free(t))))
	require.NoError(t, err)
	defer taken.Close()
	next.Add(-1) // it is found anew, and is not free
	a, b := Free(t), Free(t)
	require.NotEqual(t, a, b)
	for _, port := range []int{a, b} {
		require.NotEqual(t, taken.Addr().(*net.TCPAddr).Port, port)
		require.Less(t, port, last)
		require.Greater(t, port, first)
	}
}
