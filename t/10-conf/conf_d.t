# Every file of conf.d loads as it stands in an http block, on a machine without
# any key, and without a warning; and again where the keys are there.

use lib 't/lib';
use Test::LLM;

sub slurp {
    my ($file) = @_;
    open my $fh, '<:raw', $file or die "$file: $!";
    local $/;
    return scalar readline $fh;
}

my %prompts = map { s{^conf\.d/}{}r => slurp($_) } glob 'conf.d/prompts/*';
my %keys = (
    OPENAI_API_KEY     => 'sk-proj-confd000000000000000000000001',
    OPENROUTER_API_KEY => 'sk-or-v1-confd0000000000000000000002',
    ANTHROPIC_API_KEY  => 'sk-ant-confd0000000000000000000000006',
    GEMINI_API_KEY     => 'AIzaSyConfD000000000000000000000000021',
    AZURE_OPENAI_API_KEY => 'azconfd00000000000000000000000000031',
    MISTRAL_API_KEY    => 'misconfd0000000000000000000000032',
    DEEPSEEK_API_KEY   => 'sk-confd00000000000000000000000033',
    TOGETHER_API_KEY   => 'tgp_confd000000000000000000000034',
    COHERE_API_KEY     => 'cohconfd0000000000000000000000035',
    XAI_API_KEY        => 'xai-confd00000000000000000000036',
    GROQ_API_KEY       => 'gsk_confd00000000000000000000000037',
    GROQ_API_KEY_1     => 'gsk_confd00000000000000000000000003',
    GROQ_API_KEY_2     => 'gsk_confd00000000000000000000000004',
);

for my $file (glob 'conf.d/*.conf conf.d/providers/*.conf') {
    my $text = slurp($file);

    # a place of our own for what stands at fixed places, and a free port
    $text =~ s{listen\s+(?:127\.0\.0\.1:)?8080;}{listen 127.0.0.1:%%PORT%%;}
        or fail("$file listens on port 8080");
    $text =~ s{127\.0\.0\.1:(808[12]);}{127.0.0.1:%%PORT_$1%%;}g;
    $text =~ s{/var/lib/nginx/}{%%DIR%%/};
    $text =~ s{/etc/nginx/llm/}{%%DIR%%/llm/}g;

    for my $with (0, 1) {
        my $gw = Test::LLM::Gateway->new(
            env => $with ? \%keys : {},
            files => { %prompts,
                       'llm/clients.json' => slurp('conf.d/clients.json') });

        if ($with) {
            $gw->secret_file('llm/groq-3.key',
                             "gsk_confd00000000000000000000000005\n");
            $gw->secret_file('llm/gemini.keys', join '', map {
                "AIzaSyConfD00000000000000000000000000$_\n" } 10 .. 20);
        }

        my ($code, $out) = $gw->test_conf($text);
        my $name = "$file " . ($with ? 'with keys' : 'without keys');

        is($code, 0, "$name loads") or diag $out;
        unlike($out, qr/\[(?:warn|error|crit|alert|emerg)\]/, "$name is quiet");
        next if $code;

        $gw->start;
        is($gw->http(GET => '/health/llm')->status, 200, "$name is healthy")
            unless $file =~ /openai|providers|realtime/ && !$with;
        $gw->stop;
    }
}

finish;
