{{/*
Where files are in the container.
*/}}
{{- define "postback-gateway.dir" -}}/etc/postback-gateway{{- end }}
{{- define "postback-gateway.dataMount" -}}/var/lib/postback-gateway{{- end }}

{{/*
The environment of the gateway, as YAML: every GATEWAY_ variable that the chart sets, none of them a
secret.
*/}}
{{- define "postback-gateway.environment" -}}
{{- $dir := include "postback-gateway.dir" . }}
{{- $env := dict "GATEWAY_LISTEN" ":8080" }}
{{- /* On the pod's address: the kubelet and Prometheus come from outside. The NetworkPolicy keeps others away. */}}
{{- $_ := set $env "GATEWAY_ADMIN_LISTEN" ":8081" }}
{{- $_ := set $env "GATEWAY_SHUTDOWN_TIMEOUT" (printf "%ds" (int64 .Values.shutdownTimeoutSeconds)) }}
{{- if include "postback-gateway.stateful" . }}
{{- /* A directory of the gateway's own: the root of a volume belongs to others too (lost+found). */}}
{{- $_ := set $env "GATEWAY_DATA_DIR" (printf "%s/data" (include "postback-gateway.dataMount" .)) }}
{{- /* Also where nobody consumes here: the commands within the pod use it (gateway tail, forget). */}}
{{- $_ := set $env "GATEWAY_EMBEDDED_LISTEN" (ternary ":4222" "127.0.0.1:4222" (and .Values.consumers.enabled (eq .Values.mode "embedded"))) }}
{{- end }}
{{- if ne .Values.mode "embedded" }}
{{- $_ := set $env "GATEWAY_NATS_URL" (join "," .Values.nats.urls) }}
{{- end }}
{{- if eq .Values.mode "relay" }}{{ $_ := set $env "GATEWAY_RELAY" "true" }}{{ end }}
{{- with .Values.nats.user }}{{ $_ := set $env "GATEWAY_NATS_USER" . }}{{ end }}
{{- range $name, $value := .Values.settings }}
{{- $text := include "postback-gateway.text" $value }}
{{- if $text }}{{ $_ := set $env (printf "GATEWAY_%s" $name) $text }}{{ end }}
{{- end }}
{{- range $name, $_key := include "postback-gateway.secretKeys" . | fromYaml }}
{{- $_ := set $env (printf "GATEWAY_%s_FILE" $name) (printf "%s/secrets/%s" $dir $name) }}
{{- end }}
{{- range $file := include "postback-gateway.files" . | fromYamlArray }}
{{- range $name, $base := $file.settings }}
{{- $_ := set $env (printf "GATEWAY_%s" $name) (printf "%s/%s/%s" $dir $file.volume $base) }}
{{- end }}
{{- end }}
{{- toYaml $env }}
{{- end }}

{{/*
What else is mounted as files, as a YAML list: the volume and its source, and the settings that
are paths, each with its file there.
*/}}
{{- define "postback-gateway.files" -}}
{{- $nats := .Values.nats }}
{{- $tls := .Values.tls }}
{{- $files := list }}
{{- if $nats.creds.secretName }}
{{- $files = append $files (dict "volume" "nats-creds" "secret" $nats.creds.secretName "settings" (dict "NATS_CREDS" $nats.creds.key)) }}
{{- end }}
{{- if $nats.nkey.secretName }}
{{- $files = append $files (dict "volume" "nats-nkey" "secret" $nats.nkey.secretName "settings" (dict "NATS_NKEY" $nats.nkey.key)) }}
{{- end }}
{{- if or $nats.ca.secretName $nats.ca.configMapName }}
{{- $files = append $files (dict "volume" "nats-ca" "secret" $nats.ca.secretName "configMap" $nats.ca.configMapName "settings" (dict "NATS_CA" $nats.ca.key)) }}
{{- end }}
{{- if $nats.clientCert.secretName }}
{{- $files = append $files (dict "volume" "nats-cert" "secret" $nats.clientCert.secretName "settings" (dict "NATS_CERT" "tls.crt" "NATS_KEY" "tls.key")) }}
{{- end }}
{{- if $tls.secretName }}
{{- $files = append $files (dict "volume" "tls" "secret" $tls.secretName "settings" (dict "TLS_CERT" "tls.crt" "TLS_KEY" "tls.key")) }}
{{- end }}
{{- if or $tls.clientCA.secretName $tls.clientCA.configMapName }}
{{- $files = append $files (dict "volume" "tls-client-ca" "secret" $tls.clientCA.secretName "configMap" $tls.clientCA.configMapName "settings" (dict "TLS_CLIENT_CA" $tls.clientCA.key)) }}
{{- end }}
{{- toYaml $files }}
{{- end }}
