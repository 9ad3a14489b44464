//go:build aws

package forward

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/awssnssqs"

	"github.com/deviceops/deviceops"
)

func init() { openers["awssns"], openers["awssqs"] = openAWS, openAWS }

// openAWS opens awssns:///arn:aws:sns:REGION:ACCOUNT:NAME and
// awssqs://sqs.REGION.amazonaws.com/ACCOUNT/NAME. Requests to both go by the
// guard; how credentials are found is between AWS and whoever runs this program.
func openAWS(ctx context.Context, s *pubSubSink, address *url.URL) (*openTopic, error) {
	region := regionOf(address)
	if region == "" {
		return nil, deviceops.Errorf(deviceops.EINVALID,
			"write awssns:///arn:aws:sns:eu-west-1:123456789012:NAME, or awssqs://sqs.eu-west-1.amazonaws.com/123456789012/NAME")
	}
	loaded, err := s.awsConfig(ctx, region)
	if err != nil {
		return nil, err
	}
	loaded.HTTPClient = &http.Client{
		Transport:     &http.Transport{DialContext: s.guard.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	var topic *pubsub.Topic
	if address.Scheme == "awssns" {
		topic = awssnssqs.OpenSNSTopic(ctx, awssnssqs.DialSNS(loaded), strings.TrimPrefix(address.Path, "/"), nil)
	} else {
		topic = awssnssqs.OpenSQSTopic(ctx, awssnssqs.DialSQS(loaded), "https://"+address.Host+address.Path, nil)
	}
	return &openTopic{Topic: topic}, nil
}

// regionOf gives the region that an address names; "" if it is none of AWS's.
func regionOf(address *url.URL) string {
	if address.RawQuery != "" {
		return ""
	}
	if address.Scheme == "awssns" {
		parts := strings.Split(strings.TrimPrefix(address.Path, "/"), ":")
		if len(parts) == 6 && parts[0] == "arn" && parts[2] == "sns" {
			return parts[3]
		}
		return ""
	}
	parts := strings.SplitN(address.Host, ".", 3)
	if len(parts) == 3 && parts[0] == "sqs" && (parts[2] == "amazonaws.com" || parts[2] == "amazonaws.com.cn") {
		return parts[1]
	}
	return ""
}

// awsConfig signs with the keys of the route or, of the account root, with the
// credentials of the installation.
func (s *pubSubSink) awsConfig(ctx context.Context, region string) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{config.WithRegion(region)}
	switch {
	case s.Auth == nil:
		if err := s.ownCredentials(); err != nil {
			return aws.Config{}, err
		}
	case s.Auth.Kind != "basic":
		return aws.Config{}, deviceops.Errorf(deviceops.EINVALID, "AWS asks for two keys: write auth: { basic: { username: ACCESS-KEY-ID, password: secret:... } }")
	default:
		secret, err := s.secrets.get(ctx, s.Auth.Secret)
		if err != nil {
			return aws.Config{}, err
		}
		options = append(options, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(s.Auth.Name, secret, "")))
	}
	return config.LoadDefaultConfig(ctx, options...)
}
