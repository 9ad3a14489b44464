package forward

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"
	"gocloud.dev/pubsub/natspubsub"
)

func init() { openers["nats"], openers["tls"] = openNATS, openNATS }

// openNATS connects to the server of an address, and to the others of its
// cluster, by the guard alone. The subject is the path.
func openNATS(ctx context.Context, s *pubSubSink, address *url.URL) (*openTopic, error) {
	options := []nats.Option{nats.Name("DeviceOps"), nats.SetCustomDialer(guardDialer{s.guard}), nats.NoReconnect(), nats.Timeout(messageTimeout)}
	if s.Auth != nil {
		secret, err := s.secrets.get(ctx, s.Auth.Secret)
		switch {
		case err != nil:
			return nil, err
		case s.Auth.Kind == "basic":
			options = append(options, nats.UserInfo(s.Auth.Name, secret))
		default:
			options = append(options, nats.Token(secret))
		}
	}
	server := url.URL{Scheme: address.Scheme, Host: address.Host}
	connection, err := nats.Connect(server.String(), options...)
	if err != nil {
		return nil, err
	}
	topic, err := natspubsub.OpenTopicV2(connection, strings.TrimPrefix(address.Path, "/"), nil)
	if err != nil {
		connection.Close()
		return nil, err
	}
	return &openTopic{
		Topic: topic, flush: connection.FlushWithContext, close: connection.Close,
		refuses: func(err error) bool { return errors.Is(err, nats.ErrMaxPayload) },
	}, nil
}
