package channel_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/channel"
	"github.com/deviceops/deviceops/channel/channeltest"
)

func readAll(into *strings.Builder, r *http.Request) (int64, error) { return io.Copy(into, r.Body) }

// secretText gives the same secret for every reference.
type secretText string

func (s secretText) Secret(context.Context, string, string) (string, error) { return string(s), nil }

func mailChannels(t *testing.T, server *channeltest.SMTP, secrets deviceops.Secrets) *channel.Channels {
	return channel.New(channel.Config{
		Source: channeltest.Source{"email": channeltest.Document(t, "email", "smtp://"+server.Address)}, Guard: loopback, Secrets: secrets, TLS: server.TLS,
	})
}

func TestMail(t *testing.T) {
	t.Parallel()
	server := channeltest.NewSMTP(t)
	c := mailChannels(t, server, channeltest.Secrets{})
	call := deviceops.ChannelCall{ID: "e1", Account: "acme", Channel: "email", Operation: deviceops.ChannelOpen, Ticket: problem}
	answer, err := c.Call(t.Context(), call)
	require.NoError(t, err)
	require.Len(t, server.Mails(), 1)
	mail := server.Mails()[0]
	require.True(t, mail.TLS)
	require.Equal(t, "deviceops@example.com", mail.User)
	require.Equal(t, []string{"helpdesk@example.com"}, mail.To)
	require.Contains(t, mail.Data, "Subject: [ticket-7] Panel is dark\n")
	require.Contains(t, mail.Data, "It does not answer.")
	require.NotEmpty(t, answer.Remote.ID)
	require.Contains(t, mail.Data, "Message-ID: <"+answer.Remote.ID+">")

	again, err := c.Call(t.Context(), call)
	require.NoError(t, err)
	require.Equal(t, answer.Remote.ID, again.Remote.ID, "what is sent twice is recognized as one mail")

	call.ID, call.Operation, call.Ticket.Remote = "e2", deviceops.ChannelComment, answer.Remote
	call.Args = map[string]any{"by": "user:maria", "text": "fuse ordered"}
	_, err = c.Call(t.Context(), call)
	require.NoError(t, err)
	require.Contains(t, server.Mails()[2].Data, "In-Reply-To: <"+answer.Remote.ID+">")
	require.Contains(t, server.Mails()[2].Data, "user:maria: fuse ordered")

	call.Operation, call.Args = deviceops.ChannelNotify, map[string]any{"text": "hi", "title": "Kiosk\r\nBcc: evil@example.com", "severity": "error"}
	_, err = c.Call(t.Context(), call)
	require.NoError(t, err)
	require.Equal(t, []string{"operators@example.com"}, server.Mails()[3].To)
	require.NotContains(t, server.Mails()[3].Data, "\nBcc:", "a title cannot add headers")
}

func TestMailRefusals(t *testing.T) {
	t.Parallel()
	server := channeltest.NewSMTP(t)
	call := deviceops.ChannelCall{ID: "e1", Account: "acme", Channel: "email", Operation: deviceops.ChannelOpen, Ticket: problem}
	for reply, code := range map[string]string{
		"451 4.3.0 try later": deviceops.EUNAVAILABLE, "550 5.7.1 this is spam": deviceops.EREJECTED,
	} {
		server.Refuse(reply)
		_, err := mailChannels(t, server, channeltest.Secrets{}).Call(t.Context(), call)
		require.Equal(t, code, deviceops.ErrorCode(err), "%s: %v", reply, err)
	}
	_, err := mailChannels(t, server, secretText("wrong-password")).Call(t.Context(), call)
	require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err), "%v", err)
	require.NotContains(t, err.Error(), "wrong-password")

	server.TLS = nil
	_, err = mailChannels(t, server, channeltest.Secrets{}).Call(t.Context(), call)
	require.Equal(t, deviceops.EUNAVAILABLE, deviceops.ErrorCode(err), "whoever cannot prove to be the server gets no password: %v", err)
	require.Empty(t, server.Mails())
}
