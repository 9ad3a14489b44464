// Package channel reaches other systems by the channels that accounts publish:
// tickets, notifications and actions over HTTP or by mail, and what comes back.
package channel

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"strings"
	"time"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/outbound"
)

// Source gives compiled channels. ENOTFOUND, EINVALID.
type Source interface {
	Channel(ctx context.Context, account, name string) (*dsl.Channel, error)
}

// Config is what channels work with. Source and Guard are required.
type Config struct {
	Source  Source
	Guard   *outbound.Guard
	Secrets deviceops.Secrets // nil: channels that need some give EUNAVAILABLE

	TLS *tls.Config      // of mail servers. Default: the machine's authorities
	Now func() time.Time // Default: time.Now
	Log *slog.Logger     // Default: slog.Default
}

// Channels implements deviceops.Channels. It is safe for concurrent use.
type Channels struct {
	config Config
	tokens tokenCache
	pauses pauses
}

var _ deviceops.Channels = (*Channels)(nil)

// New makes Channels.
func New(c Config) *Channels {
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Channels{config: c, tokens: tokenCache{now: c.Now}, pauses: pauses{now: c.Now, until: map[string]time.Time{}}}
}

// Describe implements deviceops.Channels.
func (c *Channels) Describe(ctx context.Context, account, name string) (deviceops.ChannelInfo, error) {
	ch, err := c.config.Source.Channel(ctx, account, name)
	if err != nil {
		return deviceops.ChannelInfo{}, err
	}
	return ch.Info(), nil
}

// Call implements deviceops.Channels.
func (c *Channels) Call(ctx context.Context, call deviceops.ChannelCall) (deviceops.ChannelAnswer, error) {
	ch, err := c.config.Source.Channel(ctx, call.Account, call.Channel)
	if err != nil {
		return deviceops.ChannelAnswer{}, err
	}
	op := ch.Operations[call.Operation]
	if op == nil {
		return deviceops.ChannelAnswer{}, deviceops.Errorf(deviceops.EINVALID,
			"the channel %s cannot do %s; it can do %s", ch.Name, call.Operation, strings.Join(ch.Info().Operations, ", "))
	}
	if call.Args, err = op.Prepare(call.Args); err != nil {
		return deviceops.ChannelAnswer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, ch.Timeout)
	defer cancel()
	e := c.exchange(ch, op, call)
	if err := e.resting(); err != nil {
		return deviceops.ChannelAnswer{}, err
	}
	answer, err := e.perform(ctx)
	if err != nil {
		if pause := deviceops.RetryDelay(err); pause > 0 {
			e.pauses.begin(e.credentialsKey(), pause)
		}
		return deviceops.ChannelAnswer{}, e.failure(err)
	}
	return answer, nil
}

// exchange is one call of one operation. What it was told in confidence stays in
// it: its redactor knows every secret that was used.
type exchange struct {
	*Channels
	channel  *dsl.Channel
	op       *dsl.ChannelOperation
	call     deviceops.ChannelCall
	redactor *deviceops.Redactor
}

func (c *Channels) exchange(ch *dsl.Channel, op *dsl.ChannelOperation, call deviceops.ChannelCall) *exchange {
	return &exchange{Channels: c, channel: ch, op: op, call: call, redactor: &deviceops.Redactor{}}
}

// perform asks the other system and reads its answer.
func (e *exchange) perform(ctx context.Context) (deviceops.ChannelAnswer, error) {
	response, err := e.send(ctx)
	if err != nil {
		return deviceops.ChannelAnswer{}, err
	}
	read, err := e.op.Answer(e.call, response)
	if err != nil {
		return deviceops.ChannelAnswer{}, err
	}
	clean, _ := e.redactor.Value(read).(map[string]any)
	if !strings.HasPrefix(e.call.Operation, "ticket.") {
		return deviceops.ChannelAnswer{Output: clean}, nil
	}
	return e.remote(clean)
}

// remote reads a ticket out of an answer. Whoever opens one has to learn its id.
func (e *exchange) remote(answer map[string]any) (deviceops.ChannelAnswer, error) {
	remote := deviceops.RemoteTicket{ID: dsl.Format(answer["id"]), URL: dsl.Format(answer["url"]), Status: dsl.Format(answer["status"])}
	remote.State = e.channel.State(remote.Status)
	switch {
	case e.call.Operation == deviceops.ChannelOpen && remote.ID == "":
		return deviceops.ChannelAnswer{}, deviceops.Errorf(deviceops.EFAILED, "the response does not say what the ticket is called there")
	case e.call.Operation == deviceops.ChannelFind && remote.ID == "":
		remote = deviceops.RemoteTicket{}
	}
	return deviceops.ChannelAnswer{Remote: remote}, nil
}

func (e *exchange) send(ctx context.Context) (dsl.ChannelResponse, error) {
	if e.op.IsMail() {
		return e.mail(ctx)
	}
	return e.request(ctx)
}

// secret gives a secret of the channel, as the account sees it that published
// the channel: those below may use the channel without knowing its credentials.
func (e *exchange) secret(ctx context.Context, reference string) (string, error) {
	return e.Channels.secret(ctx, e.channel, reference, e.redactor)
}

func (c *Channels) secret(ctx context.Context, ch *dsl.Channel, reference string, redactor *deviceops.Redactor) (string, error) {
	if c.config.Secrets == nil {
		return "", deviceops.Errorf(deviceops.EUNAVAILABLE, "this process has no provider of secrets; name one, such as --secrets-file")
	}
	value, err := redactor.Secrets(c.config.Secrets).Secret(ctx, ch.Account, reference)
	return strings.TrimRight(value, "\r\n"), err
}

// failure gives an error that names the channel and no secret.
func (e *exchange) failure(err error) error {
	code, delay := deviceops.ErrorCode(err), deviceops.RetryDelay(err)
	if code == deviceops.EINTERNAL {
		e.config.Log.Error("a channel fails", "channel", e.channel.Name, "operation", e.call.Operation, "error", e.redactor.Text(err.Error()))
	}
	message := e.redactor.Text(deviceops.ErrorMessage(err))
	if delay > 0 {
		return deviceops.Errorf(code, "channel %s: %s%w", e.channel.Name, strings.TrimSuffix(message, deviceops.Later{After: delay}.Error()), deviceops.Later{After: delay})
	}
	return deviceops.Errorf(code, "channel %s: %s", e.channel.Name, message)
}
