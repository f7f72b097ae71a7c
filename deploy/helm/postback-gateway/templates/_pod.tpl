{{/*
The pod template of both workloads.
*/}}
{{- define "postback-gateway.pod" -}}
metadata:
  annotations:
    # A pod reads its settings when it starts: changed ones need new pods.
    checksum/config: {{ include "postback-gateway.environment" . | sha256sum }}
    {{- if and (not .Values.secrets.existingSecret) (include "postback-gateway.secretKeys" . | fromYaml) }}
    # The same for the chart's own Secret. No checksum: it would let who sees pods try guesses.
    helm.sh/revision: {{ .Release.Revision | quote }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "postback-gateway.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "postback-gateway.serviceAccountName" . }}
  automountServiceAccountToken: false
  # Variables of Services named gateway-something look like settings.
  enableServiceLinks: false
  # The gateway ends by itself within its own timeout; the rest is for the container's start and end.
  terminationGracePeriodSeconds: {{ add .Values.shutdownTimeoutSeconds .Values.preStopSleepSeconds 10 }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  containers:
    {{- include "postback-gateway.container" . | nindent 4 }}
  {{- with include "postback-gateway.volumes" . | trim }}
  volumes:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with include "postback-gateway.placement" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "postback-gateway.container" -}}
- name: gateway
  image: {{ include "postback-gateway.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [serve]
  envFrom:
    - configMapRef:
        name: {{ include "postback-gateway.fullname" . }}
  {{- with include "postback-gateway.env" . | trim }}
  env:
    {{- . | nindent 4 }}
  {{- end }}
  ports:
    - name: webhook
      containerPort: 8080
    - name: admin
      containerPort: 8081
    {{- if .Values.consumers.enabled }}
    - name: nats
      containerPort: 4222
    {{- end }}
  {{- include "postback-gateway.probes" . | nindent 2 }}
  {{- if .Values.preStopSleepSeconds }}
  lifecycle:
    preStop:
      sleep:
        seconds: {{ int64 .Values.preStopSleepSeconds }}
  {{- end }}
  {{- with .Values.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "postback-gateway.volumeMounts" . | trim }}
  volumeMounts:
    {{- . | nindent 4 }}
  {{- end }}
{{- end }}

{{/*
The variables that are no settings. GOMEMLIMIT keeps the collector from being surprised by the limit.
*/}}
{{- define "postback-gateway.env" -}}
{{- $memory := toString (dig "limits" "memory" "" (default dict .Values.resources)) }}
{{- $unit := dict "Mi" 1048576 "Gi" 1073741824 }}
{{- if regexMatch "^[0-9]+(Mi|Gi)$" $memory }}
{{- $bytes := mul (regexFind "^[0-9]+" $memory | int64) (get $unit (regexFind "(Mi|Gi)$" $memory)) }}
- name: GOMEMLIMIT
  value: {{ div (mul $bytes 9) 10 | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
On the operator's listener. Readiness is what takes a pod out of the Service; a restart cures nothing
that /readyz reports.
*/}}
{{- define "postback-gateway.probes" -}}
startupProbe:
  httpGet: {path: /healthz, port: admin}
  {{- toYaml .Values.probes.startup | nindent 2 }}
livenessProbe:
  httpGet: {path: /healthz, port: admin}
  {{- toYaml .Values.probes.liveness | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: admin}
  {{- toYaml .Values.probes.readiness | nindent 2 }}
{{- end }}

{{- define "postback-gateway.volumeMounts" -}}
{{- $dir := include "postback-gateway.dir" . }}
{{- if include "postback-gateway.stateful" . }}
- name: data
  mountPath: {{ include "postback-gateway.dataMount" . }}
{{- end }}
{{- if include "postback-gateway.secretKeys" . | fromYaml }}
- name: secrets
  mountPath: {{ $dir }}/secrets
  readOnly: true
{{- end }}
{{- range include "postback-gateway.files" . | fromYamlArray }}
- name: {{ .volume }}
  mountPath: {{ $dir }}/{{ .volume }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
The volumes but for the claim's. Only the keys that are used are mounted: one that is missing keeps the
pod from starting, and the event names it.
*/}}
{{- define "postback-gateway.volumes" -}}
{{- with include "postback-gateway.secretKeys" . | fromYaml }}
- name: secrets
  secret:
    secretName: {{ include "postback-gateway.secretName" $ }}
    defaultMode: 0440
    items:
      {{- range $name, $key := . }}
      - key: {{ $key | quote }}
        path: {{ $name }}
      {{- end }}
{{- end }}
{{- range $file := include "postback-gateway.files" . | fromYamlArray }}
- name: {{ .volume }}
  {{- if .secret }}
  secret:
    secretName: {{ .secret }}
  {{- else }}
  configMap:
    name: {{ .configMap }}
  {{- end }}
    defaultMode: 0440
    items:
      {{- range uniq (values .settings | sortAlpha) }}
      - key: {{ . | quote }}
        path: {{ . | quote }}
      {{- end }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "postback-gateway.placement" -}}
{{- $values := .Values }}
{{- if and (include "postback-gateway.several" .) (or .Values.topologySpread.nodes .Values.topologySpread.zones) }}
topologySpreadConstraints:
  {{- range $key, $what := dict "kubernetes.io/hostname" .Values.topologySpread.nodes "topology.kubernetes.io/zone" .Values.topologySpread.zones }}
  {{- if $what }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $what }}
    labelSelector:
      matchLabels:
        {{- include "postback-gateway.selectorLabels" $ | nindent 8 }}
    {{- if eq $values.mode "cluster" }}
    # The pods of an update are spread among themselves.
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
  {{- end }}
{{- end }}
{{- range $name := list "nodeSelector" "tolerations" "affinity" }}
{{- with get $values $name }}
{{ $name }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
