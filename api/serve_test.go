package api_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/api"
)

// A stream must not keep a server from stopping, and a short request must be
// answered to its end.
func TestServeStops(t *testing.T) {
	t.Parallel()
	open, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) {
		close(open)
		<-release
		_, _ = io.WriteString(w, "done")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served := make(chan error, 1)
	go func() { served <- api.Serve(ctx, listener, mux) }()

	url := "http://" + listener.Addr().String()
	stream, err := http.Get(url + "/stream")
	require.NoError(t, err)
	defer stream.Body.Close()
	answer := make(chan string, 1)
	go func() {
		response, err := http.Get(url + "/short")
		if err != nil {
			answer <- err.Error()
			return
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		answer <- string(body)
	}()
	<-open
	stop()
	close(release)
	require.Equal(t, "done", <-answer)
	select {
	case err := <-served:
		require.NoError(t, err)
	case <-time.After(10 * time.Second):
		t.Fatal("the server did not stop")
	}
}
