package activities

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

// outbound makes the requests of workflows to other systems. It reaches public
// addresses and those that the installation allows. The address is checked when
// the connection is made, after the name was resolved: a name that is looked up
// again later, or a redirect, cannot lead anywhere else. It uses no proxy, which
// would resolve names by itself.
type outbound struct {
	allowed   []netip.Prefix
	transport http.RoundTripper
}

func newOutbound(allowed []netip.Prefix) *outbound {
	o := &outbound{allowed: allowed}
	dialer := &net.Dialer{Timeout: dialTimeout, Control: o.control}
	o.transport = &http.Transport{
		DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ForceAttemptHTTP2: true,
		MaxResponseHeaderBytes: maxHeaders, MaxIdleConnsPerHost: idlePerServer, IdleConnTimeout: idleTimeout,
	}
	return o
}

// forbiddenAddress is the error of a request to a network that is not allowed.
type forbiddenAddress struct{ address string }

// Error implements error.
func (f forbiddenAddress) Error() string {
	return fmt.Sprintf("%s is in a private or reserved network, which workflows reach only if the installation allows it", f.address)
}

// control sees the address that is about to be dialed.
func (o *outbound) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !o.allows(at.Addr()) {
		return forbiddenAddress{address}
	}
	return nil
}

func (o *outbound) allows(address netip.Addr) bool {
	address = address.WithZone("").Unmap()
	for _, network := range o.allowed {
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

var (
	errManyRedirects  = errors.New("there are too many redirects")
	errOtherOrigin    = errors.New("the server redirects to another origin, which must not see the credentials")
	errSchemeRedirect = errors.New("the server redirects to something else than http or https")
)

// send makes a request. With credentials it follows redirects of the same origin
// only; without, also others.
func (o *outbound) send(ctx context.Context, request *http.Request, credentials bool) (*http.Response, error) {
	client := &http.Client{Transport: o.transport, CheckRedirect: func(next *http.Request, before []*http.Request) error {
		first := before[0].URL
		switch {
		case len(before) > maxRedirects:
			return errManyRedirects
		case next.URL.Scheme != "http" && next.URL.Scheme != "https":
			return errSchemeRedirect
		case credentials && (next.URL.Scheme != first.Scheme || next.URL.Host != first.Host):
			return errOtherOrigin
		}
		return nil
	}}
	return client.Do(request.WithContext(ctx))
}
