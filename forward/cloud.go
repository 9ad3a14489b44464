//go:build gcp || azure

package forward

import (
	"context"
	"net/url"

	"gocloud.dev/pubsub"

	"github.com/deviceops/deviceops"
)

// openCloud opens a topic with the credentials, and at the place, that the
// environment of this program names: a route can choose neither.
func openCloud(ctx context.Context, s *pubSubSink, address *url.URL) (*openTopic, error) {
	switch {
	case s.Auth != nil || address.RawQuery != "":
		return nil, deviceops.Errorf(deviceops.EINVALID, "%s:// takes neither auth: nor parameters: its credentials are those of the installation", address.Scheme)
	case s.ownCredentials() != nil:
		return nil, s.ownCredentials()
	}
	topic, err := pubsub.DefaultURLMux().OpenTopicURL(context.WithoutCancel(ctx), address)
	if err != nil {
		return nil, err
	}
	return &openTopic{Topic: topic}, nil
}
