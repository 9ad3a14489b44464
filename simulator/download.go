package simulator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	digest "hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/protocol"
)

// Download says how devices get what they install.
type Download struct {
	// Enabled makes devices really download. Default: they only take the time
	// for it, as suits a large fleet.
	Enabled bool
	// Range is how many bytes a device asks for in one request. Default: 4 MiB.
	Range int64
	// Keys are those of authors whom devices trust: then a component has to be
	// signed by one of them. Default: nothing has to be signed.
	Keys []deviceops.ReleaseKey
}

// Codes of what may be wrong with a download.
const (
	errorDownload  = "download_failed" // it may work with the URL of the next delivery
	errorHash      = "wrong_hash"      // something else came than was announced
	errorSignature = "bad_signature"   // nobody trusted signed it; nothing is downloaded
)

// download fetches a component in ranges and checks it. Nothing is kept: what
// matters is that it could have been.
func (d *device) download(release string, c deviceops.ComponentChange) *protocol.DeviceError {
	config := d.fleet.cfg.Download
	if len(config.Keys) > 0 && !trusted(config.Keys, release, c) {
		return &protocol.DeviceError{Code: errorSignature, Message: c.Name + " is not signed by anybody whom this device trusts"}
	}
	get := transfer{ctx: d.fleet.ctx, url: c.URL, size: c.Size, step: config.Range, sum: sha256.New()}
	err := get.run()
	d.fleet.count(func(s *Stats) { s.Downloaded += get.at; s.Ranges += get.requests })
	if err != nil {
		return &protocol.DeviceError{Code: errorDownload, Message: c.Name + ": " + err.Error(), Retryable: true}
	}
	if sum := hex.EncodeToString(get.sum.Sum(nil)); sum != c.SHA256 {
		return &protocol.DeviceError{Code: errorHash, Message: fmt.Sprintf("%s has SHA-256 %s, not %s", c.Name, sum, c.SHA256), Retryable: true}
	}
	return nil
}

func trusted(keys []deviceops.ReleaseKey, release string, c deviceops.ComponentChange) bool {
	for _, key := range keys {
		if key.Verify(c.Statement(release), c.Signature) == nil {
			return true
		}
	}
	return false
}

// transfer is one download.
type transfer struct {
	ctx      context.Context
	url      string
	size     int64 // bytes; 0: the server tells
	step     int64
	sum      digest.Hash
	at       int64 // how much there is
	requests int
}

// maxBreaks is how often a download goes on after its connection broke without
// getting any further.
const maxBreaks = 3

func (t *transfer) run() error {
	for breaks := 0; t.requests == 0 || t.at < t.size; {
		before := t.at
		err := t.next()
		switch {
		case err == nil, errors.Is(err, io.ErrUnexpectedEOF) && t.at > before:
			breaks = 0
		case errors.Is(err, errRefused) || breaks == maxBreaks:
			return err
		default:
			breaks++
		}
	}
	return nil
}

// errRefused says that the server answered something else than the content.
var errRefused = errors.New("the server refuses")

// next fetches one range.
func (t *transfer) next() error {
	request, err := http.NewRequestWithContext(t.ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", t.at, t.at+t.step-1))
	t.requests++
	response, err := transfers.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := t.admit(response); err != nil {
		return err
	}
	n, err := io.Copy(t.sum, response.Body)
	t.at += n
	return err
}

// admit tells content from other answers. A server without ranges sends all of
// it, which will do at the beginning.
func (t *transfer) admit(response *http.Response) error {
	switch {
	case response.StatusCode == http.StatusPartialContent:
		_, total, _ := strings.Cut(response.Header.Get("Content-Range"), "/")
		size, err := strconv.ParseInt(total, 10, 64)
		if err != nil || t.size != 0 && size != t.size {
			return fmt.Errorf("%w: it has %q bytes, not %d", errRefused, total, t.size)
		}
		t.size = size
		return nil
	case response.StatusCode == http.StatusOK && t.at == 0:
		t.size = max(t.size, response.ContentLength)
		return nil
	default:
		detail, _ := io.ReadAll(io.LimitReader(response.Body, 300)) // for people
		return fmt.Errorf("%w: %s %s", errRefused, response.Status, detail)
	}
}
