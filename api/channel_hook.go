package api

import (
	"context"
	"net/http"
	"time"

	"github.com/deviceops/deviceops"
)

// maxHook is how large a message of another system may be, in bytes.
const maxHook = 1 << 20

// hookRoute takes what other systems send. They have no token: each message is
// verified as the channel says.
func (s *server) hookRoute(mux *http.ServeMux, c channelService) {
	mux.HandleFunc("POST /v1/channels/{name}/webhook", c.hook)
}

func (c channelService) hook(w http.ResponseWriter, r *http.Request) {
	if err := c.hear(w, r); err != nil {
		writeProblem(w, c.problem(r.Context(), err))
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// hear takes over what a message says. One about a ticket that is not ours is
// none of an error: systems tell of all their tickets.
func (c channelService) hear(w http.ResponseWriter, r *http.Request) error {
	channels, err := c.channels()
	if err != nil {
		return err
	}
	body, err := readHook(w, r)
	if err != nil {
		return err
	}
	hook := deviceops.ChannelHook{Account: hookAccount(r), Channel: r.PathValue("name"), Header: r.Header, Body: body, At: c.Now()}
	news, err := channels.Hear(r.Context(), hook)
	if err != nil || news.Remote.ID == "" {
		return err
	}
	return c.takeOver(r, hook, news)
}

func (c channelService) takeOver(r *http.Request, hook deviceops.ChannelHook, news deviceops.ChannelNews) error {
	ctx := r.Context()
	ticket, err := c.Store.FindRemoteTicket(ctx, hook.Account, hook.Channel, news.Remote.ID)
	switch {
	case deviceops.ErrorCode(err) == deviceops.ENOTFOUND:
		return nil
	case err != nil:
		return err
	}
	return c.Store.InTx(ctx, func(ctx context.Context, tx deviceops.Tx) error {
		current, err := tx.FindTicket(ctx, ticket.ID)
		if err != nil {
			return err
		}
		_, err = news.Apply(ctx, tx, current, deviceops.TicketEntry{ID: c.Now().UTC().Format(time.RFC3339Nano), At: c.Now()})
		return err
	})
}
