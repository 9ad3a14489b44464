package channeltest

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
)

var anyURL = regexp.MustCompile(`(?m)^url: \S+$`)

// Document gives a shipped channel with another address.
func Document(t testing.TB, name, url string) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	source, err := os.ReadFile(filepath.Join(filepath.Dir(here), "../../examples/channels", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return anyURL.ReplaceAllLiteralString(string(source), "url: "+url)
}

// Source gives channels out of the texts of their documents, by name.
type Source map[string]string

// Channel gives a channel. ENOTFOUND.
func (s Source) Channel(_ context.Context, account, name string) (*dsl.Channel, error) {
	source, ok := s[name]
	if !ok {
		return nil, deviceops.Errorf(deviceops.ENOTFOUND, "there is no channel %s", name)
	}
	ch, found := dsl.CompileChannel(source)
	if err := found.Err(); err != nil {
		return nil, err
	}
	ch.Account = account
	return ch, nil
}

// Secrets gives secrets to any account: to a reference with "webhook" in it the
// key of the webhook, to any other the secret of the API.
type Secrets struct{}

// Secret implements deviceops.Secrets.
func (Secrets) Secret(_ context.Context, _, reference string) (string, error) {
	if strings.Contains(reference, "webhook") {
		return WebhookKey + "\n", nil
	}
	return Secret + "\n", nil
}
