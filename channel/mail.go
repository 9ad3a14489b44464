package channel

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/outbound"
)

// mail sends the mail of the operation. Its Message-ID follows from the id of the
// call, so that a mail that was sent twice is recognized as one.
func (e *exchange) mail(ctx context.Context) (dsl.ChannelResponse, error) {
	spec, err := e.op.Mail(e.call)
	if err != nil {
		return dsl.ChannelResponse{}, err
	}
	message, id, err := e.message(spec)
	if err != nil {
		return dsl.ChannelResponse{}, err
	}
	client, err := e.mailClient(ctx)
	if err != nil {
		return dsl.ChannelResponse{}, err
	}
	if err := client.DialAndSendWithContext(ctx, message); err != nil {
		return dsl.ChannelResponse{}, mailError(err)
	}
	return dsl.ChannelResponse{MessageID: id}, nil
}

func (e *exchange) message(spec dsl.ChannelMail) (*mail.Msg, string, error) {
	m := mail.NewMsg()
	if err := m.From(spec.From); err != nil {
		return nil, "", deviceops.Errorf(deviceops.EINVALID, "from: %q is no address of mail", spec.From)
	}
	if err := m.To(spec.To...); err != nil {
		return nil, "", deviceops.Errorf(deviceops.EINVALID, "to: %q are no addresses of mail", spec.To)
	}
	_, domain, _ := strings.Cut(spec.From, "@")
	id := deviceops.ShortHash(12, e.channel.Account, e.channel.Name, e.call.ID) + "@" + cmp.Or(strings.Trim(domain, "> "), "deviceops")
	m.SetMessageIDWithValue(id)
	m.SetDateWithValue(e.config.Now())
	m.Subject(strings.Join(strings.Fields(spec.Subject), " "))
	m.SetBodyString(mail.TypeTextPlain, spec.Text)
	if e.call.Ticket.Remote.ID != "" { // it belongs to the mail that opened the ticket
		m.SetGenHeader(mail.HeaderInReplyTo, "<"+e.call.Ticket.Remote.ID+">")
		m.SetGenHeader(mail.HeaderReferences, "<"+e.call.Ticket.Remote.ID+">")
	}
	return m, id, nil
}

// mailClient connects by the guard that all requests leave by.
func (e *exchange) mailClient(ctx context.Context) (*mail.Client, error) {
	address, err := url.Parse(e.channel.URL)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "the url of the channel is malformed")
	}
	port, _ := strconv.Atoi(address.Port())
	options := []mail.Option{mail.WithDialContextFunc(e.config.Guard.DialContext), mail.WithTimeout(e.channel.Timeout), mail.WithTLSPolicy(mail.TLSMandatory)}
	if e.config.TLS != nil {
		config := e.config.TLS.Clone()
		config.ServerName = address.Hostname()
		options = append(options, mail.WithTLSConfig(config))
	}
	switch {
	case address.Scheme == "smtps":
		options, port = append(options, mail.WithSSL()), cmp.Or(port, 465)
	case e.channel.Plaintext:
		options, port = append(options, mail.WithTLSPolicy(mail.NoTLS)), cmp.Or(port, 25)
	default:
		port = cmp.Or(port, 587)
	}
	if a := e.channel.Auth; a != nil {
		password, err := e.secret(ctx, a.Secret)
		if err != nil {
			return nil, err
		}
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(a.Username), mail.WithPassword(password))
	}
	client, err := mail.NewClient(address.Hostname(), append(options, mail.WithPort(port))...)
	if err != nil {
		return nil, deviceops.Errorf(deviceops.EINVALID, "mail cannot be sent: %s", err.Error())
	}
	return client, nil
}

// mailError tells what kept a mail from being taken: a reply below 500 asks to
// try later (RFC 5321, 4.2.1).
func mailError(err error) error {
	var forbidden outbound.ForbiddenAddress
	var refused *mail.SendError
	var reply *textproto.Error
	var network net.Error
	switch {
	case errors.As(err, &forbidden):
		return deviceops.Errorf(deviceops.EFORBIDDEN, "%s", forbidden.Error())
	case errors.As(err, &refused) && !refused.IsTemp() && refused.ErrorCode() >= 500:
		return deviceops.Errorf(deviceops.EREJECTED, "the mail server refused the mail: %s", err.Error())
	case errors.As(err, &reply) && (reply.Code == 535 || reply.Code == 534 || reply.Code == 530):
		return deviceops.Errorf(deviceops.EFORBIDDEN, "the mail server refused the credentials: %s", reply.Error())
	case errors.As(err, &network) && network.Timeout():
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the mail server did not answer in time")
	default:
		return deviceops.Errorf(deviceops.EUNAVAILABLE, "the mail server did not take the mail: %s", err.Error())
	}
}
