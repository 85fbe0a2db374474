# Replies of providers, mutated at random: bits flipped, pieces cut, doubled or
# swapped, numbers made absurd.  Whatever comes, each request ends, with HTTP in
# good form, and the worker lives.  LLM_SEED repeats a run, LLM_MUTATIONS sets
# how many.

use lib 't/lib';
use Test::LLM;

my $seed = $ENV{LLM_SEED} || 20261120;
my $n = $ENV{LLM_MUTATIONS} || 1200;
srand $seed;

my $up = Test::LLM::Upstream->new;
my $gw = Test::LLM::Gateway->new(vars => { UP => $up->port }, env => { KEY_A => 'sk-alpha-00001' }, conf => <<'EOC')->start;
    llm_zone t:8m;
    llm_key_pool k { key env:KEY_A; cooldown off; }
    llm_provider p { dialect openai; base_url http://127.0.0.1:%%UP%%/v1; keys k; breaker off; timeout header=1s first=1s idle=1s total=3s; }
    llm_prompt a { user "{text}"; set model m; answer json schema=file:%%T%%/fixtures/app/analyze.schema.json; }
    server {
        listen 127.0.0.1:%%PORT%%;
        llm_retry off;
        location /v1/ { llm_pass p; }
        location = /analyze { llm_analyze a; llm_pass p; }
        location = /up { return 204; }
    }
EOC
my ($worker) = $gw->workers;

# ---- what is mutated ------------------------------------------------------------------------

my @http = map { fixture_text($_) } qw(
    openai/chat.ok.http openai/error.429-rate-limit-requests.http openai/error.429-http-date.http
    openai/error.400-context-length.http openai/error.502-html.http groq/error.429.http
    groq/error.400-json-validate-failed.http openrouter/chat.200-error.http openrouter/error.429-free-daily.http
    gemini-openai/error.429-array.http speaches/error.422.http vllm/error.400-old-flat.http);
my @sse = map {
    my $body = fixture_text($_);
    my $chunks = join '', map { sprintf "%x\r\n%s\r\n", length $_, $_ } unpack '(a97)*', $body;
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n";
} map { "openai/chat.stream$_.sse" } '', '.crlf', '.cr', '.utf8', '.tools', '.usage-null', '.n2', '.error-midway';
my @json = map {
    my $body = fixture_text("app/model-output.$_.txt");
    utf8::decode($body);
    $body = to_json({ id => 'x', choices => [ { index => 0, finish_reason => 'stop', message => { role => 'assistant', content => $body } } ], usage => { prompt_tokens => 3, completion_tokens => 4 } });
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
} qw(valid fenced chatter unicode);

sub mutate {
    my ($s) = @_;
    for (1 .. 1 + int rand 3) {
        my $len = length $s or return $s;
        my $at = int rand $len;
        my $span = 1 + int rand 40;
        my $kind = int rand 9;
        if ($kind == 0) { substr($s, $at, 1) ^= chr 1 << int rand 8 }
        elsif ($kind == 1) { substr $s, $at, $span, '' }
        elsif ($kind == 2) { substr $s, $at, 0, substr $s, int rand $len, $span }
        elsif ($kind == 3) { $s = substr $s, 0, $at }
        elsif ($kind == 4) { substr $s, $at, 0, chr int rand 256 }
        elsif ($kind == 5) { substr $s, $at, 0, "\0" x $span }
        elsif ($kind == 6) { my @d = ('-1', '99999999999999999999', '0', '1e999', 'NaN', '0x7fffffff'); $s =~ s/(?<=[^0-9])\d+(?=[^0-9])/rand() < 0.1 ? $d[rand @d] : $&/ge }
        elsif ($kind == 7) { substr $s, $at, 0, '[' x (1 + int rand 2000) }
        else { my @h = ("Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n", "Content-Type: text/event-stream\r\n", "Retry-After: -9\r\n", "Connection: close\r\n"); $s =~ s/\r\n/"\r\n" . $h[rand @h]/e }
    }
    return $s;
}

# an error object; a byte that is no UTF-8 may stand in a provider's own
sub is_error {
    my $e = eval { JSON::PP->new->decode($_[0]) };
    return ref $e eq 'HASH' && $e->{error};
}

# ---- run them -------------------------------------------------------------------------------

my (%end, @bad);
for my $round (1 .. $n / 40) {
    my @scripts;
    my @requests;
    for my $i (1 .. 40) {
        my $what = int rand 3;
        my @pool = $what == 0 ? @http : $what == 1 ? @sse : @json;
        my $bytes = mutate($pool[rand @pool]);
        my $path = "/v1/m$round-$i";
        push @scripts, [ $i, [ rand() < 0.5 ? [ slice => 1 + int(rand 500) ] : (), [ raw => $bytes ], [ rand() < 0.2 ? 'rst' : 'fin' ] ] ];
        push @requests, $what == 2 ? [ POST => '/analyze', {}, to_json({ text => "k$i" }) ]
            : [ POST => '/v1/chat/completions', {}, chat_body("k$i", stream => $what == 1 ? JSON::PP::true() : JSON::PP::false()) ];
    }
    $up->reset;
    $up->on('/*' => map { $_->[1] } @scripts);
    for my $c ($gw->many(20, @requests)) {
        my $how = $c->error && $c->error ne 'closed' && $c->error ne 'reset' ? $c->error : $c->status;
        $end{$how}++;
        push @bad, "round $round: " . ($c->error // '') . ' ' . $c->status . ' ' . $c->wire
            if !$c->status || ($c->error // '') =~ /timeout|not http/
            || ($c->status >= 400 && !is_error($c->body))
            || ($c->status == 200 && !$c->complete && ($c->error // '') eq 'timeout');
    }
}

is(scalar @bad, 0, "$n mutated replies (seed $seed), each with a well-formed end") or diag join "\n", @bad[0 .. ($#bad > 4 ? 4 : $#bad)];
diag join ', ', map { "$_: $end{$_}" } sort keys %end if $ENV{LLM_MUTATIONS};
cmp_ok($end{200} || 0, '>', $n / 20, '... some of them still good');
is(($gw->workers)[0], $worker, 'the worker lives');
is($gw->get('/up')->status, 204, '... and serves');

finish();
