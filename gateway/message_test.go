package gateway_test

import (
	"strings"
	"testing"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/require"

	"github.com/deviceops/deviceops"
	"github.com/deviceops/deviceops/gateway"
)

func TestPublishMessage(t *testing.T) {
	t.Parallel()
	for name, start := range brokers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t)
			p := readyPublisher(t, gateway.Config{Broker: b.URL()})
			require.NoError(t, p.PublishMessage(t.Context(), "plant/alerts/paris", []byte(`{"alert":"dark"}`), true))

			heard := make(chan mqtt.Message, 1)
			other := connectDevice(t, b.URL(), "dashboard")
			other.must(other.client.Subscribe("plant/#", 1, func(_ mqtt.Client, m mqtt.Message) { heard <- m }))
			m := <-heard
			require.Equal(t, "plant/alerts/paris", m.Topic())
			require.JSONEq(t, `{"alert":"dark"}`, string(m.Payload()))
			require.True(t, m.Retained(), "the broker keeps it for those who come later")
		})
	}
}

func TestMessagesStayAwayFromDevices(t *testing.T) {
	t.Parallel()
	p, err := gateway.NewPublisher(gateway.Config{Broker: "tcp://127.0.0.1:1", Prefix: "acme/iot"})
	require.NoError(t, err)
	for topic, code := range map[string]string{
		"acme/iot/k1/down/command":     deviceops.EFORBIDDEN,
		"acme/iot":                     deviceops.EFORBIDDEN,
		"ACME//iot/k1/down/command":    deviceops.EFORBIDDEN,
		"/acme/iot/k1/down/command":    deviceops.EFORBIDDEN,
		"deviceops/v1/k1/up/result":    deviceops.EFORBIDDEN,
		"":                             deviceops.EINVALID,
		"plant/#":                      deviceops.EINVALID,
		"plant/+/alerts":               deviceops.EINVALID,
		"plant\x00":                    deviceops.EINVALID,
		"$SYS/broker":                  deviceops.EINVALID,
		"$share/lanes/deviceops/v1/k1": deviceops.EINVALID,
		strings.Repeat("x", 65536):     deviceops.EINVALID,
	} {
		require.Equal(t, code, deviceops.ErrorCode(p.PublishMessage(t.Context(), topic, nil, false)), topic)
	}
	err = p.PublishMessage(t.Context(), "plant", make([]byte, deviceops.MaxMessage+1), false)
	require.Equal(t, deviceops.EEXHAUSTED, deviceops.ErrorCode(err))
}
