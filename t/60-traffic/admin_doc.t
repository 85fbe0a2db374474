# docs/admin.md tells what is: its commands are run as they stand and say what
# stands behind them, but for numbers, times and hashes; and no call, member or
# metric is missing in the documents.

use lib 't/lib';
use Test::LLM;

sub slurp {
    my ($file) = @_;
    open my $fh, '<:encoding(UTF-8)', $file or die "$file: $!";
    local $/;
    return scalar readline $fh;
}

my $gw = Test::LLM::Gateway->new(workers => 2,
    env => { GROQ_KEY_1 => 'gsk_aaaaaaaaaaaaa1', GROQ_KEY_2 => 'gsk_aaaaaaaaaaaaa2' },
    conf => <<'EOC')->start;
    llm_key_pool groq { key env:GROQ_KEY_1 name=groq-a; key env:GROQ_KEY_2 name=groq-b; }
    llm_provider groq { dialect mock; keys groq; latency 30ms; jitter 10ms; }
    llm_provider openrouter { dialect mock; latency 20ms; jitter 10ms; }
    llm_model llama-70b { provider groq; id llama-3.3-70b-versatile; price input=0.59 output=0.79; }
    llm_model qwen-72b { provider openrouter; id qwen/qwen2.5-72b-instruct; price input=0.3 output=0.3; }
    llm_split analyze {
        sticky   $http_x_user_id;
        variant  blue   llama-70b  95%;
        variant  green  qwen-72b   5%;
        rollout  green  steps=5%,25%,50%,75%,100% bake=10m min_samples=100;
        rollback error_rate>5% for=5m;
        experiment wording;
    }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /v1/ { llm_pass analyze; }
        location /admin/ { llm_admin; }
        location = /metrics { llm_metrics; }
    }
EOC

# enough for both variants
$gw->many(30, map { [ POST => '/v1/chat/completions',
    { 'Content-Type' => 'application/json', 'X-User-Id' => "u$_" },
    chat_body('x') ] } 1 .. 150);

my $doc = slurp('docs/admin.md');


# ---- the commands -------------------------------------------------------------

# what may differ from run to run
sub plain {
    my ($text) = @_;
    $text =~ s/\d{4}-\d\d-\d\dT[\d:.]+Z/TIME/g;
    $text =~ s/[0-9a-f]{32,64}/HASH/g;
    $text =~ s/"(seq|n|samples|input_tokens|output_tokens|cost|cost_per_request|p50_ms|p95_ms|window_s)":[\d.e-]+/"$1":N/g;
    $text =~ s/\d+ s are left/N s are left/;
    return $text;
}

SKIP: {
    skip 'no curl and jq here', 1 if system 'command -v curl jq > /dev/null';

    my $setup = sprintf "A=http://127.0.0.1:%d/admin\nJ='Content-Type: "
        . "application/json'\n", $gw->port;
    my $n = 0;

    for my $block ($doc =~ /^```console\n(.*?)^```/msg) {
        for my $piece (split /^(?=\$ )/m, $block) {
            my ($command, $output) = $piece =~ /^\$ ([^\n]+)\n(.*)/s or next;
            my $file = $gw->write('command.sh', $setup . $command . "\n");
            my $said = `sh $file 2>&1`;
            $n++;
            is(plain($said), plain($output), $command);
            print STDERR "\$ $command\n$said" if $ENV{LLM_TEST_SHOW};
        }
    }

    cmp_ok($n, '>', 10, 'commands were found');
}


# ---- nothing is missing ---------------------------------------------------------

my @calls = map { s{ /admin/}{ }r } @{ $gw->get('/admin/')->json->{calls} };
for my $call (@calls) {
    next if $call eq 'GET ';
    my ($method, $path) = split ' ', $call;
    like($doc, qr/`(?:\Q$method\E )?[^`]*\Q$path\E`/, "docs/admin.md: $call");
}

my %codes;
for my $file (glob 'src/control/ngx_http_llm_admin*.c') {
    my $text = slurp($file);
    $codes{$1}++ while $text =~ /NGX_HTTP_[A-Z_]+,\s*"(\w+)"/g;
    $codes{$1}++ while $text =~ /\[LLM_ACT_\w+\] = "(\w+)"/g;
}
my ($refusals) = $doc =~ /^## Refusals\n(.*)/ms;
my %told = map { $_ => 1 } $refusals =~ /`([a-z_]+)`/g;
cmp_ok(scalar keys %codes, '>', 15, 'codes were found');
is(join(' ', grep { !$told{$_} } sort keys %codes), '',
    'docs/admin.md: every code of a refusal');
is(join(' ', grep { !$codes{$_} && $_ ne 'code' } sort keys %told), '',
    '... and none that is made up');

my $metrics = slurp('docs/metrics.md');
my %family;
for my $file (glob 'src/control/ngx_http_llm_metrics*.c') {
    my $text = slurp($file);
    $family{$1}++ while $text =~ /"(llm_[a-z0-9_]+)"/g;
}
delete $family{llm_metrics};
my %row = map { $_ => 1 } $metrics =~ /^\| `(llm_\w+)`/mg;
cmp_ok(scalar keys %family, '>', 30, 'families were found');
is(join(' ', grep { !$row{$_} } sort keys %family), '',
    'docs/metrics.md: every family');
is(join(' ', grep { !$family{$_} } sort keys %row), '',
    '... and none that is made up');

finish;
