package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"
)

// drainTimeout is how long requests may take to end when the server stops.
const drainTimeout = 5 * time.Second

// Serve answers on l until ctx ends. Then requests have half a second to end by
// themselves; after that their contexts are canceled, which ends streams. Serve
// returns nil when all have ended, after drainTimeout at the latest.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	streams, endStreams := context.WithCancel(context.WithoutCancel(ctx))
	defer endStreams()
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		BaseContext:       func(net.Listener) context.Context { return streams },
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	return shutdown(drain, server, endStreams)
}

// shutdown ends server. Streams end by their context; so do, with them, the
// requests that wait for a device.
func shutdown(ctx context.Context, server *http.Server, endStreams func()) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Shutdown(ctx) }()
	grace := time.AfterFunc(drainGrace, endStreams)
	defer grace.Stop()
	err := <-ended
	if errors.Is(err, context.DeadlineExceeded) {
		return server.Close()
	}
	return err
}

// drainGrace is how long short requests may take before the long ones, which
// would hold the server up, are ended by their context.
const drainGrace = 500 * time.Millisecond
