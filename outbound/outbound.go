// Package outbound is the one way by which requests of workflows, channels and
// routes leave the installation. It keeps them from reaching private networks.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// Limits of one outgoing request.
const (
	maxRedirects  = 5
	maxHeaders    = 64 << 10 // bytes of the response's headers
	dialTimeout   = 10 * time.Second
	idleTimeout   = 30 * time.Second
	idlePerServer = 4
)

// Guard makes connections to other systems. It reaches public addresses and
// those that the installation allows. The address is checked when the connection
// is made, after the name was resolved: a name that is looked up again later, or
// a redirect, cannot lead anywhere else. It uses no proxy, which would resolve
// names by itself.
type Guard struct {
	allowed   []netip.Prefix
	dialer    *net.Dialer
	transport http.RoundTripper
}

// NewGuard makes a Guard that reaches the given private networks too.
func NewGuard(allowed []netip.Prefix) *Guard {
	g := &Guard{allowed: allowed}
	g.dialer = &net.Dialer{Timeout: dialTimeout, Control: g.control}
	g.transport = &http.Transport{
		DialContext: g.dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: maxHeaders, MaxIdleConnsPerHost: idlePerServer, IdleConnTimeout: idleTimeout,
	}
	return g
}

// ForbiddenAddress is the error of a request to a network that is not allowed.
type ForbiddenAddress struct{ Address string }

// Error implements error.
func (f ForbiddenAddress) Error() string {
	return fmt.Sprintf("%s is in a private or reserved network, which the installation has to allow: --allow-network", f.Address)
}

// control sees the address that is about to be dialed.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !g.allows(at.Addr()) {
		return ForbiddenAddress{address}
	}
	return nil
}

func (g *Guard) allows(address netip.Addr) bool {
	address = address.WithZone("").Unmap()
	for _, network := range g.allowed {
		if network.Contains(address) {
			return true
		}
	}
	return public(address)
}

// reserved are the networks that no public server has, beside those that netip
// knows. Those that carry an IPv4 address inside an IPv6 one are closed as a
// whole.
var reserved = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "240.0.0.0/4",
	"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
)

func prefixes(texts ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		all[i] = netip.MustParsePrefix(text)
	}
	return all
}

func public(a netip.Addr) bool {
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	for _, network := range reserved {
		if network.Contains(a) {
			return false
		}
	}
	return true
}

// Errors of requests that a server redirects to where they must not go.
var (
	ErrManyRedirects  = errors.New("there are too many redirects")
	ErrOtherOrigin    = errors.New("the server redirects to another origin, which must not see the credentials")
	ErrSchemeRedirect = errors.New("the server redirects to something else than http or https")
)

// DialContext connects to an address, for protocols other than HTTP. The error
// of one that is not allowed is a ForbiddenAddress.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return g.dialer.DialContext(ctx, network, address)
}

// Send makes a request. With credentials it follows redirects of the same origin
// only; without, also others.
func (g *Guard) Send(ctx context.Context, request *http.Request, credentials bool) (*http.Response, error) {
	client := &http.Client{Transport: g.transport, CheckRedirect: func(next *http.Request, before []*http.Request) error {
		first := before[0].URL
		switch {
		case len(before) > maxRedirects:
			return ErrManyRedirects
		case next.URL.Scheme != "http" && next.URL.Scheme != "https":
			return ErrSchemeRedirect
		case credentials && (next.URL.Scheme != first.Scheme || next.URL.Host != first.Host):
			return ErrOtherOrigin
		}
		return nil
	}}
	return client.Do(request.WithContext(ctx))
}
