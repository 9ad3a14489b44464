package outbound_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops/outbound"
)

func TestPrivateNetworksAreOutOfReach(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")

	var forbidden outbound.ForbiddenAddress
	_, err := outbound.NewGuard(nil).DialContext(t.Context(), "tcp", address)
	require.ErrorAs(t, err, &forbidden)
	require.Equal(t, address, forbidden.Address)
	request, err := http.NewRequest(http.MethodGet, server.URL, nil)
	require.NoError(t, err)
	_, err = outbound.NewGuard(nil).Send(t.Context(), request, false)
	require.ErrorAs(t, err, &forbidden)

	guard := outbound.NewGuard([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
	connection, err := guard.DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	require.NoError(t, connection.Close())
	response, err := guard.Send(t.Context(), request, false)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusNotFound, response.StatusCode)
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, " 7 ": 7 * time.Second, "soon": 0, "-3": 0,
		"Fri, 01 May 2026 12:00:30 GMT": 30 * time.Second, "Fri, 01 May 2026 11:00:00 GMT": 0,
	} {
		require.Equal(t, want, outbound.RetryAfter(text, now), text)
	}
}

func TestRetryable(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]bool{200: false, 400: false, 401: false, 404: false, 408: true, 425: true, 429: true, 500: true, 501: false, 503: true} {
		require.Equal(t, want, outbound.Retryable(status), status)
	}
}

func TestIsJSON(t *testing.T) {
	t.Parallel()
	for contentType, want := range map[string]bool{"application/json; charset=utf-8": true, "application/problem+json": true, "text/html": false, "": false} {
		require.Equal(t, want, outbound.IsJSON(contentType), contentType)
	}
}
