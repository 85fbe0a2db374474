package Soak::World;

# Where the soak test takes place: a configuration that uses everything at once,
# and providers and applications that fail at random.
#
#   my $up = Soak::World->provider($seed);
#   my $text = Soak::World::conf($turn);    # a changed one for each other turn

use strict;
use warnings;
use base 'Test::LLM::Upstream';

use JSON::PP ();

use Test::LLM ();

use constant ZONE => 23 << 20;          # a size that no other mapping has
use constant DEADLINE => 6;             # of llm_retry, in seconds

our @PROVIDERS = qw(one two calm wild);
our @MODELS = qw(m-one m-two m-calm m-wild);
our @KEYS = qw(pool/ka pool/kb pool/kc spare/sa spare/sb);
our %SPLITS = (
    s => [qw(a b c d)], flip => [qw(blue green)], app => [qw(old new)],
    mixed => [qw(legacy next)],
);


sub conf {
    my ($turn) = @_;
    my $odd = $turn % 2;
    my $late = $odd ? '' : 'rollback p95>900ms for=400ms window=1s min=8 action=log;';
    my $third = $odd ? '' : 'key env:SOAK_KEY_3 name=kc limit=2000r/m optional;';
    my $share = $turn % 3 ? '40%' : '35%';
    my $rest = $turn % 3 ? '30%' : '35%';
    my $failures = $odd ? 6 : 8;

    return <<"EOC";
    llm_zone soak:23m;
    llm_state %%DIR%%/state;
    client_max_body_size 16m;
    log_format soak '\$msec \$status \$request_method \$uri \$llm_split/\$llm_variant \$llm_provider \$llm_attempts \$llm_error \$request_time';
    access_log %%DIR%%/soak.log soak;

    llm_key_pool pool {
        select headroom;
        group  org limit=4000r/m limit=900000t/m clock=refill;
        key    env:SOAK_KEY_1 group=org name=ka;
        key    env:SOAK_KEY_2 group=org name=kb;
        $third
    }
    llm_key_pool spare { select round_robin; key env:SOAK_KEY_4 name=sa; key env:SOAK_KEY_5 name=sb; }

    llm_provider one  { dialect openai; base_url http://127.0.0.1:%%UP%%/one/v1; keys pool;
                        timeout connect=1s header=1s first=1s idle=1s total=4s;
                        breaker failures=$failures error_rate=60% window=2s min=20 open=300ms max=600ms ramp=300ms;
                        inflight 24 queue=24 wait=1s; }
    llm_provider two  { dialect openai; base_url http://127.0.0.1:%%UP%%/two/v1; keys spare;
                        timeout connect=1s header=1s first=1s idle=1s total=4s;
                        breaker failures=10 open=300ms max=600ms ramp=300ms; }
    llm_provider calm { dialect mock; latency 10ms; jitter 10ms; chunk_interval 3ms; }
    llm_provider wild { dialect mock; latency 5ms; jitter 5ms; chunk_interval 2ms; error_rate 25%;
                        timeout header=1s first=1s idle=1s total=4s; breaker off;
                        fault reset garbage empty cut error_event html malformed_event rate_limited stall_header stall_body; }

    llm_model m-one  { provider one;  id big-1;   price input=1 output=3; can chat json_object json_schema stream transcribe; }
    llm_model m-two  { provider two;  id small-2; price input=0.1 output=0.3; can chat json_object json_schema stream transcribe; }
    llm_model m-calm { provider calm; id calm-1;  price input=0.2 output=0.2; }
    llm_model m-wild { provider wild; id wild-1; }
    llm_route chain  { target m-one; target m-two; target m-calm; }
    llm_route brief  { target m-two; target m-calm on=any; }

    llm_prompt mood { user "{text}"; set model any; answer json schema=file:%%DIR%%/mood.json repair=on; }

    llm_split s {
        sticky     \$http_x_user;
        variant    a chain  $share;
        variant    b brief  $rest;
        variant    c m-calm 20%;
        variant    d m-wild 10%;
        force      \$http_x_variant allow=127.0.0.1;
        fallback   b a on=error,timeout;
        fallback   d c;
        rollout    b steps=35%,50%,75%,100% bake=400ms max_bake=5s soak=600ms min_samples=10 rest=500ms;
        rollback   error_rate>30% for=300ms window=1s min=10;
        rollback   fast_burn>=80%;
        rollback   json_invalid>20% for=300ms window=1s min=10;
        rollback   p95_rise>2s for=500ms window=2s min=10;
        rollback   ttft_p95>3s for=500ms window=2s min=10 action=pause;
        rollback   cost_per_request>0.5 for=500ms window=2s;
        rollback   upstream_4xx_excess>20% for=500ms window=2s min=10;
        $late
        mirror     c 10% max=64k inflight=4;
        experiment mix remember=1000;
        sample     2% file=%%DIR%%/samples.jsonl max=1m keep=2;
        webhook    http://127.0.0.1:%%UP%%/hook;
    }
    llm_split flip {
        sticky     \$http_x_user;
        variant    blue  m-calm 100%;
        variant    green chain  0%;
        fallback   green blue;
        rollout    green steps=0%,100% bake=300ms max_bake=3s soak=500ms min_samples=5 rest=300ms;
        rollback   error_rate>20% for=200ms window=600ms min=5;
        mirror     green 20%;
    }
    llm_split app {
        sticky     \$http_x_user;
        variant    old http://app_old 60%;
        variant    new http://app_new 40%;
        rollout    new steps=50%,100% bake=300ms max_bake=3s soak=500ms min_samples=5 rest=300ms;
        rollback   error_rate>30% for=200ms window=600ms min=5;
        experiment shop remember=500;
    }
    llm_split mixed {
        sticky     \$http_x_user;
        variant    legacy http://app_old 50%;
        variant    next   chain  50%;
    }
    upstream app_old { server 127.0.0.1:%%UP%%; keepalive 8; }
    upstream app_new { server 127.0.0.1:%%UP%%; keepalive 8; }

    server {
        listen 127.0.0.1:%%PORT%% backlog=1024;
        llm_retry 2 backoff=10ms..80ms budget=50% deadline=6s;
        proxy_read_timeout 3s;
        proxy_next_upstream off;
        location /s/        { llm_pass s; }
        location /flip/     { llm_pass flip; }
        location = /mood    { llm_analyze mood; llm_pass s; }
        location = /hear    { llm_transcribe language=fa; llm_pass m-one m-two m-calm; }
        location /v1/       { llm_pass \$llm_model; }
        location /app/      { llm_pass app; }
        location = /mixed   { llm_analyze mood; llm_pass mixed; }
        location /admin/    { llm_admin; }
        location = /feedback { llm_feedback; }
        location = /metrics { llm_metrics; }
        location = /health  { llm_health; }
    }
EOC
}


our $SCHEMA = '{"type":"object","properties":{"mood":{"type":"string"}},'
            . '"required":["mood"],"additionalProperties":false}';


# ---- the providers -----------------------------------------------------------

sub provider {
    my ($class, $seed) = @_;
    $Soak::World::seed = $seed;
    return $class->new;
}


sub serve {
    my ($self) = @_;
    srand $Soak::World::seed;
    $self->{ill} = 0;
    $self->SUPER::serve;
}


# how many of a hundred answers are wrong, from now on
sub cmd_ill { $_[0]{ill} = $_[1]; return 1 }


sub select {
    my ($self, $req, $early) = @_;

    return if $early;
    # nobody looks at what was received: it must not grow
    splice @{ $self->{received} }, 0, 500 if @{ $self->{received} } > 1000;
    splice @{ $self->{conn_log} }, 0, 500 if @{ $self->{conn_log} } > 1000;

    my $bad = rand(100) < $self->{ill};
    my $path = $req->{path};

    return _one(Test::LLM::reply(204, {}, '')) if $path eq '/hook';
    return _app($req, $bad) if $path !~ m{^/(?:one|two)/};
    return _refuse() if $bad && rand() < 0.6;
    return _stream($bad) if ($req->{body} // '') =~ /"stream":\s*true/;
    return _break() if $bad;
    return [ [ json => '{"text":"salam"}' ] ] if $path =~ /audio/;
    return [ [ json => '{"id":"file-{{n}}","object":"file"}' ] ] if $path =~ /files/;

    my $text = rand() < 0.03 ? 'no JSON at all' : '{"mood":"fine"}';
    my $answer = Test::LLM::ok_chat($text);
    unshift @$answer, [ pause => int rand 60 ] if rand() < 0.3;
    return $answer;
}


sub _one { return $_[0] }
sub _any { return $_[ rand @_ ]->() }


# an application tells what it got
sub _app {
    my ($req, $bad) = @_;
    return _any(
        sub { Test::LLM::reply(500, {}, 'oops') },
        sub { Test::LLM::reply(404, {}, 'nothing') },
        sub { [ [ 'rst' ] ] },
        sub { [ [ 'fin' ] ] },
    ) if $bad;

    # the legacy application of a mixed split has JSON for its clients
    return [ [ json => '{"mood":"legacy"}' ] ] if $req->{path} eq '/mixed';
    return [ [ body => $req->{sha256} ] ];
}


sub _error {
    my ($status, $headers, $code) = @_;
    return Test::LLM::reply($status, $headers, JSON::PP::encode_json({
        error => { message => 'as it happens', type => 'test', code => $code } }));
}

sub _refuse {
    return _any(
        sub { _error(500, {}, 'server_error') },
        sub { _error(503, { 'Retry-After' => 1 }, 'overloaded') },
        sub { _error(429, { 'Retry-After' => 1 }, 'rate_limit_exceeded') },
        sub { _error(400, {}, 'context_length_exceeded') },
        sub { rand() < 0.3 ? _error(401, {}, 'invalid_api_key') : _error(408, {}, 'timeout') },
        sub { Test::LLM::reply(502, {}, '<html>bad gateway</html>') },
        sub { [ [ 'rst' ] ] },
        sub { [ [ 'hang' ] ] },
    );
}

sub _break {
    return _any(
        sub { [ [ send => 'HTTP/1.1 200 OK\r\nContent-Ty' ], [ 'fin' ] ] },
        sub { [ [ send => 'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"id":' ], [ 'rst' ] ] },
        sub { [ [ send => 'HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"id":' ], [ 'hang' ] ] },
        sub { [ [ send => '\x00\xff garbage\r\n\r\n' ], [ 'fin' ] ] },
        sub { [ [ json => '{"choices":' ] ] },
        sub { [ [ json => '' ] ] },
    );
}


sub _stream {
    my ($bad) = @_;
    my @words = ((map { "word$_ " } 1 .. 3 + int rand 8), 'end');
    my $usage = { prompt_tokens => 9, completion_tokens => 7, total_tokens => 16 };

    return Test::LLM::ok_stream([ map { ($_, rand() < 0.2 ? [ pause => 20 ] : ()) } @words ],
                                usage => $usage) unless $bad;
    return _any(
        (map { my $how = $_; sub { Test::LLM::ok_stream([ @words[0 .. rand @words], [ $how ] ]) } } qw(rst fin hang)),
        sub { Test::LLM::ok_stream(\@words, done => 0) },
        sub { Test::LLM::ok_stream(\@words, finish => undef, done => 0) },
        sub { Test::LLM::ok_stream([ [ event => '{"cut' ], @words ]) },
        sub { Test::LLM::ok_stream([ @words, [ event => '{"error":{"message":"oops","type":"server_error"}}' ] ]) },
        sub { [ [ slice => '7 1' ], @{ Test::LLM::ok_stream(\@words) } ] },
    );
}

1;
