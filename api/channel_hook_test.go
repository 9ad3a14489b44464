package api_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
)

const hookYAML = `channel: desk
url: http://127.0.0.1:1
ticket: { open: { request: { path: /t }, answer: { id: response.json.id } } }
webhook:
  verify: { hmac: { header: X-Sig, secret: secret:desk/hook } }
  ticket: request.json.id
  status: request.json.status
  comment: request.json.comment
  by: request.json.by
`

// hookKey is what the ticket system signs with.
const hookKey = "key-of-the-desk"

// hookSecrets give it for every reference that does not say otherwise.
type hookSecrets struct{}

func (hookSecrets) Secret(_ context.Context, account, reference string) (string, error) {
	switch reference {
	case "secret:webhooks/missing":
		return "", deviceops.Errorf(deviceops.ENOTFOUND, "there is no secret %s for %s", reference, account)
	case "secret:webhooks/sealed":
		return "", deviceops.Errorf(deviceops.EUNAVAILABLE, "the vault is sealed")
	case "secret:webhooks/old":
		return "key-of-yesterday", nil
	}
	return hookKey, nil
}

// news sends a message of the ticket system, signed with a key.
func (r *rig) news(key, body string) int {
	r.Helper()
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	request, err := http.NewRequest(http.MethodPost, r.url+"/v1/channels/desk/webhook?account=acme", strings.NewReader(body))
	require.NoError(r, err)
	request.Header.Set("X-Sig", hex.EncodeToString(mac.Sum(nil)))
	response, err := http.DefaultClient.Do(request)
	require.NoError(r, err)
	require.NoError(r, response.Body.Close())
	return response.StatusCode
}

func TestWhatComesBack(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	require.NoError(t, r.store.MaintainEvents(t.Context(), now, 24*time.Hour))
	r.as(anna, http.MethodPost, "/v1/documents:apply", hookYAML)
	_, err := deviceops.OpenTicket(t.Context(), r.store, deviceops.TicketOpening{
		Ticket: deviceops.Ticket{ID: "t1", Account: "acme/emea", Title: "Dark", Severity: "error", Fingerprint: "f", Channel: "desk"},
		Entry:  deviceops.TicketEntry{ID: "e1", At: now, By: "run:r1"},
	}, now)
	require.NoError(t, err)
	require.NoError(t, r.store.LinkTicket(t.Context(), "t1", deviceops.RemoteTicket{ID: "7", URL: "https://desk/7", State: "open"}))
	r.as(olga, http.MethodPost, "/v1/tickets/t1/comment", map[string]string{"text": "fuse ordered"})
	find := func() deviceops.Ticket {
		ticket, err := r.store.FindTicket(t.Context(), "t1")
		require.NoError(t, err)
		return ticket
	}

	require.Equal(t, 401, r.news("wrong", `{"id": 7, "status": "closed"}`))
	require.Equal(t, deviceops.TicketOpen, find().Status)
	require.Equal(t, 204, r.news(hookKey, `{"id": 8, "status": "closed"}`), "systems tell of all their tickets")

	require.Equal(t, 204, r.news(hookKey, `{"id": 7, "comment": "user:olga: fuse ordered", "by": "bot"}`))
	require.Len(t, find().Entries, 2, "the echo of our own words is no news")
	for range 2 {
		require.Equal(t, 204, r.news(hookKey, `{"id": 7, "status": "open", "comment": "on my way", "by": "Ada"}`))
	}
	require.Len(t, find().Entries, 3, "sent again it is the same")
	require.Equal(t, "channel:desk (Ada)", find().Entries[2].By)

	require.Equal(t, 204, r.news(hookKey, `{"id": 7, "status": "closed", "by": "Ada"}`))
	closed := find()
	require.Equal(t, deviceops.TicketClosed, closed.Status)
	require.Equal(t, "channel:desk (Ada)", closed.ClosedBy)
	require.Equal(t, deviceops.RemoteTicket{ID: "7", URL: "https://desk/7", Status: "closed", State: "closed"}, closed.Remote)
	unsent, err := r.store.UnsentEntries(t.Context(), "t1")
	require.NoError(t, err)
	require.Len(t, unsent, 1, "of what it said itself the system is not told")
	require.Equal(t, deviceops.EntryCommented, unsent[0].Kind)

	require.Equal(t, 204, r.news(hookKey, `{"id": 7, "status": "new", "by": "Ada"}`))
	require.Equal(t, deviceops.TicketOpen, find().Status, "opened again there, it is opened again here")
	r.as(olga, http.MethodPost, "/v1/tickets/t1/close", map[string]string{"text": "done"})
	require.Equal(t, 204, r.news(hookKey, `{"id": 7, "status": "waiting", "by": "Bob"}`))
	require.Equal(t, deviceops.TicketClosed, find().Status, "what was closed here, and not yet there, stays closed")
}
