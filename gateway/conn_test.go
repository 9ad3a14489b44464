package gateway

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// slowConn counts writes, each of which waits for a permit.
type slowConn struct {
	net.Conn
	permits chan struct{}
	writes  atomic.Int64
}

func (c *slowConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	<-c.permits
	return c.Conn.Write(p)
}

// connPair gives the two ends of a connection, the first of which is tested.
func connPair(t *testing.T, timeout time.Duration) (*conn, *slowConn, net.Conn) {
	near, far := net.Pipe()
	slow := &slowConn{Conn: near, permits: make(chan struct{}, 1000)}
	c := newConn(slow, timeout)
	t.Cleanup(func() {
		_ = far.Close()
		_ = c.Close()
	})
	return c, slow, far
}

func TestWritesThatComeMeanwhileGoOutTogether(t *testing.T) {
	t.Parallel()
	c, slow, far := connPair(t, time.Minute)
	got := make(chan string)
	go func() {
		all, _ := io.ReadAll(far)
		got <- string(all)
	}()
	var want strings.Builder
	for i := range 100 {
		text := fmt.Sprintf("packet %d;", i)
		want.WriteString(text)
		n, err := c.Write([]byte(text))
		require.NoError(t, err)
		require.Equal(t, len(text), n)
		if i == 0 {
			require.Eventually(t, func() bool { return slow.writes.Load() == 1 }, 10*time.Second, time.Millisecond, "the first goes out at once")
		}
	}
	slow.permits <- struct{}{}
	slow.permits <- struct{}{}
	require.NoError(t, c.Close(), "what was written goes out first")
	require.Equal(t, want.String(), <-got)
	require.EqualValues(t, 2, slow.writes.Load())
	_, err := c.Write([]byte("late"))
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestAPeerThatReadsNothingEndsTheConnection(t *testing.T) {
	t.Parallel()
	c, slow, _ := connPair(t, 20*time.Millisecond)
	close(slow.permits)
	_, err := c.Write([]byte("hello"))
	require.NoError(t, err)
	_, err = c.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.ErrClosedPipe, "readers learn of it")
	_, err = c.Write([]byte("again"))
	require.ErrorContains(t, err, "timeout")
}

func TestWritersWaitWhileMuchIsUnderWay(t *testing.T) {
	t.Parallel()
	c, slow, far := connPair(t, time.Minute)
	piece := make([]byte, writeBuffer+1)
	written := make(chan error, 1)
	_, err := c.Write(piece) // goes out, and waits
	require.NoError(t, err)
	require.Eventually(t, func() bool { return slow.writes.Load() == 1 }, 10*time.Second, time.Millisecond)
	_, err = c.Write(piece) // is kept
	require.NoError(t, err)
	go func() {
		_, err := c.Write([]byte("x"))
		written <- err
	}()
	require.Never(t, func() bool { return len(written) > 0 }, 50*time.Millisecond, time.Millisecond)
	close(slow.permits)
	go func() { _, _ = io.Copy(io.Discard, far) }()
	require.NoError(t, <-written)
}

// pieces counts the reads of a connection.
type pieces struct {
	net.Conn
	reads atomic.Int64
}

func (c *pieces) Read(p []byte) (int, error) {
	c.reads.Add(1)
	return c.Conn.Read(p)
}

func TestReadsMuchAtOnce(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	counted := &pieces{Conn: near}
	c := newConn(counted, time.Minute)
	defer c.Close()
	go func() { _, _ = far.Write(make([]byte, 1000)) }()
	for range 1000 {
		_, err := io.ReadFull(c, make([]byte, 1))
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, counted.reads.Load())
}
