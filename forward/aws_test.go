//go:build aws

package forward

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/dsl"
	"github.com/deviceops/deviceops/outbound"
)

// A route names a topic or queue of AWS, and nothing that leads elsewhere.
func TestRegionOfAnAddress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"awssns:///arn:aws:sns:eu-west-1:123456789012:topic":                          "eu-west-1",
		"awssqs://sqs.us-east-2.amazonaws.com/123456789012/queue":                     "us-east-2",
		"awssqs://sqs.cn-north-1.amazonaws.com.cn/123456789012/queue":                 "cn-north-1",
		"awssns:///arn:aws:sns:eu-west-1:123456789012:topic?endpoint=http://10.0.0.1": "",
		"awssns:///arn:aws:sqs:eu-west-1:123456789012:topic":                          "",
		"awssqs://sqs.eu-west-1.example.com/1/q":                                      "",
		"awssqs://sqs.eu-west-1.amazonaws.com.example.org/1/q":                        "",
		"awssqs://queue": "",
	} {
		u, err := url.Parse(address)
		require.NoError(t, err)
		require.Equal(t, want, regionOf(u), address)
	}
}

func TestOnlyRootSendsWithTheCredentialsOfTheInstallation(t *testing.T) {
	t.Parallel()
	const address = "awssns:///arn:aws:sns:eu-west-1:123456789012:topic"
	u, err := url.Parse(address)
	require.NoError(t, err)
	sink := func(account string) *pubSubSink {
		return &pubSubSink{PubSubTarget: &dsl.PubSubTarget{URL: address}, account: account, guard: outbound.NewGuard(nil), secrets: &secrets{}}
	}
	_, err = openAWS(t.Context(), sink("acme"), u)
	require.Equal(t, deviceops.EFORBIDDEN, deviceops.ErrorCode(err))
	topic, err := openAWS(t.Context(), sink(deviceops.RootAccount), u)
	require.NoError(t, err)
	require.NoError(t, topic.Shutdown(t.Context()))
}
