package starter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// DataConverter is what all clients, workers and replayers of an installation
// share. It is Temporal's own, but for numbers in JSON: where Go leaves the type
// open they become int64 if they are whole and fit, else float64, so that a
// counter above 2^53 comes back as it went.
func DataConverter() converter.DataConverter {
	return converter.NewCompositeDataConverter(
		converter.NewNilPayloadConverter(),
		converter.NewByteSlicePayloadConverter(),
		converter.NewProtoJSONPayloadConverter(),
		converter.NewProtoPayloadConverter(),
		numberConverter{converter.NewJSONPayloadConverter()},
	)
}

// Encrypted gives the converters of an installation whose payloads pass through
// a codec. Messages and stack traces of failures pass through it too.
func Encrypted(codec converter.PayloadCodec) (converter.DataConverter, converter.FailureConverter) {
	// A codec that meets a key of another process asks for it, which may take
	// longer than a workflow may block.
	data := workflow.DataConverterWithoutDeadlockDetection(converter.NewCodecDataConverter(DataConverter(), codec))
	return data, temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
		DataConverter: data, EncodeCommonAttributes: true,
	})
}

// numberConverter decodes JSON like Temporal's own converter, but for numbers.
type numberConverter struct {
	*converter.JSONPayloadConverter
}

// FromPayload implements converter.PayloadConverter.
func (numberConverter) FromPayload(payload *commonpb.Payload, valuePtr any) error {
	decoder := json.NewDecoder(bytes.NewReader(payload.GetData()))
	decoder.UseNumber()
	if err := decoder.Decode(valuePtr); err != nil {
		return fmt.Errorf("%w: %w", converter.ErrUnableToDecode, err)
	}
	settleNumbers(reflect.ValueOf(valuePtr))
	return nil
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// settleNumbers replaces every json.Number that the decoder left in an open
// place (any, or what is inside one) by an int64 or float64. Types that decode
// themselves have chosen already.
func settleNumbers(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			settleNumbers(v.Elem())
		}
	case reflect.Interface:
		if !v.IsNil() && v.CanSet() {
			if settled := settleAny(v.Interface()); settled != nil {
				v.Set(reflect.ValueOf(settled))
			}
		}
	case reflect.Struct:
		settleFields(v)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			settleNumbers(v.Index(i))
		}
	case reflect.Map:
		settleEntries(v)
	}
}

func settleFields(v reflect.Value) {
	if reflect.PointerTo(v.Type()).Implements(unmarshaler) {
		return
	}
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() {
			settleNumbers(v.Field(i))
		}
	}
}

// settleEntries rewrites the entries of a map, since what a map holds can't be
// changed in place.
func settleEntries(v reflect.Value) {
	if reflect.PointerTo(v.Type()).Implements(unmarshaler) || scalar(v.Type().Elem().Kind()) {
		return
	}
	for _, key := range v.MapKeys() {
		entry := reflect.New(v.Type().Elem()).Elem()
		entry.Set(v.MapIndex(key))
		settleNumbers(entry)
		v.SetMapIndex(key, entry)
	}
}

func scalar(k reflect.Kind) bool {
	return k == reflect.String || k == reflect.Bool || k >= reflect.Int && k <= reflect.Complex128
}

// settleAny gives a decoded JSON value with its numbers settled.
func settleAny(v any) any {
	switch v := v.(type) {
	case json.Number:
		return number(v)
	case map[string]any:
		for key, item := range v {
			v[key] = settleAny(item)
		}
	case []any:
		for i, item := range v {
			v[i] = settleAny(item)
		}
	}
	return v
}

func number(n json.Number) any {
	if i, err := n.Int64(); err == nil {
		return i
	}
	f, err := n.Float64()
	if err != nil {
		return n.String() // beyond what Go can count with
	}
	return f
}
